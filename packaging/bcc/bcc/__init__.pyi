from probee.bcc import *  # noqa: F403  all of it
from probee.bcc import __implementation__ as __implementation__
from probee.bcc import __version__ as __version__
