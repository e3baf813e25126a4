"""Where the checkout and the packages are.  Not in a conftest: there are several, and they share one module name."""
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("PREFORKD_PACKAGES") or ROOT / "build" / "package").resolve()
