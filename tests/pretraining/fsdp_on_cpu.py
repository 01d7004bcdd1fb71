"""`eegfoundation`, with accelerate made to take FSDP on CPUs too.

By itself it takes FSDP on accelerators only: asked for it on CPUs, it goes on with DDP and says
nothing (accelerate 1.15, AcceleratorState.__init__). Sharding, gathering and saving are the same.
"""

import sys

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

initialise = AcceleratorState.__init__


def with_fsdp(self, *args, fsdp_plugin=None, **kwargs):
    initialise(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin


AcceleratorState.__init__ = with_fsdp

if __name__ == "__main__":
    from eegfoundation.cli import main

    sys.exit(main())
