"""Use cases, one file per noun. Every public method: authorise, load, core, commit, audit."""
