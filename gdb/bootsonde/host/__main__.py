"""`python3 -m bootsonde.host`."""

import signal
import sys

# Until main() is there to say how a run ended, Ctrl-C ends it without a word; imports alone take a tenth of a second.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from bootsonde.host.main import main  # noqa: E402  pylint: disable=wrong-import-position

sys.exit(main())
