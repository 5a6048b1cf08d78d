"""Read by every Python process that has this folder on its path: there, the seventh venue is."""

import tests.seventh.joining

tests.seventh.joining.join()
