"""`python -m chargepki` is `chargepki`."""

import sys

from chargepki.cli.main import main

sys.exit(main())
