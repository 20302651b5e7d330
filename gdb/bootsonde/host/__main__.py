"""`python3 -m bootsonde.host`."""

import sys

from bootsonde.host.main import main

sys.exit(main())
