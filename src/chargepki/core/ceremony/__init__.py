"""Key ceremonies as data: the script that people reviewed, its steps in their order, and the transcript of what became of it."""
