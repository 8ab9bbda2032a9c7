"""The command line: `chargepki <noun> <verb>`. One file per noun; `output.py` owns how it looks, `exits.py` what the codes say.

Modules here import heavy things (the SDK, Rich, the core) inside the commands that use them: the first line of help is there at once.
"""
