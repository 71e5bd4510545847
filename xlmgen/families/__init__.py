"""The families that can be imported: `xlmgen.families.<name>`, wherever they are.

The package has no modules of its own; its path is the registry's search path.
"""

from xlmgen.registry import package_path

__path__ = package_path()
