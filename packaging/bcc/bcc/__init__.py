"""The import name `bcc`: this package puts probee.bcc in its own place, with all that is in it."""

from probee.bcc.alias import install

install()
