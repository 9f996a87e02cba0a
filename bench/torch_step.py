#!/usr/bin/env python3
"""Times whole training steps of a net of torch_nets.py on the GPU, as bench_train_step does.

    bench/torch_step.py NET [--batch 64] [--laap] [--math MODE] [--steps 10] [--rounds 5]

Eager PyTorch, channels_last, ``cudnn.benchmark`` on; SGD with momentum and weight decay. FP16 and
BF16 are ``torch.autocast``, FP16 with a ``GradScaler``. Prints one line of JSON: the milliseconds a
step of each round, the last loss and the peak of allocated memory.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from torch_nets import NETS, TorchNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=list(NETS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--laap", action="store_true")
    parser.add_argument("--math", choices=["FLOAT", "TF32", "FP16", "BF16"], default="FLOAT")
    parser.add_argument("--contiguous", action="store_true", help="NCHW instead of channels_last")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    # Autocast leaves what it does not cast to the setting for floats.
    torch.backends.cudnn.allow_tf32 = args.math == "TF32"
    torch.backends.cuda.matmul.allow_tf32 = args.math == "TF32"
    half = {"FP16": torch.float16, "BF16": torch.bfloat16}.get(args.math)
    scaler = torch.amp.GradScaler("cuda", enabled=args.math == "FP16")
    model = TorchNet(args.net, args.batch, args.laap, channels_last=not args.contiguous)
    model.net.cuda()
    model.data, model.label = model.data.cuda(), model.label.cuda()
    update = torch.optim.SGD(model.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def steps(count: int) -> None:
        for _ in range(count):
            update.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=half, enabled=half is not None):
                loss = model.forward()
            scaler.scale(loss).backward()
            scaler.step(update)
            scaler.update()
        torch.cuda.synchronize()

    steps(3)
    times = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        steps(args.steps)
        times.append(round((time.perf_counter() - start) * 1000 / args.steps, 3))
    memory = torch.cuda.max_memory_allocated() >> 20
    print(json.dumps({"ms": times, "allocated_mb": memory}))


if __name__ == "__main__":
    main()
