"""Before torch is imported: threads that wait by spinning make these tests several times as long on a busy machine."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
