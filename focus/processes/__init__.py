"""Several processes of one run: who falls, who answers, who ends with whom.

``watch`` sees who falls, ``signals`` says who answers to Ctrl-C and SIGTERM, ``pools`` are workers
that end with the process they work for.
"""
