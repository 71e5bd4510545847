"""`python -m xlmgen`."""

import sys

from xlmgen.cli import main

sys.exit(main())
