"""PyTorch's eager step, for `train_step.py`: python benchmarks/torch_step.py dcgan 20

For each line of input it takes so many steps, and prints the seconds of one. It stands alone, as
TensorFlow and PyTorch in one process end in a segmentation fault, with some of their versions.
"""

import sys
import time

import torch
from torch import nn


def runner(name, steps):
    """A function that takes so many steps and gives the seconds of one."""

    def adam(*networks, **options):
        return torch.optim.Adam([p for n in networks for p in n.parameters()], **options)

    images = torch.rand(64 if name == "dcgan" else 128, 1, 28, 28) * 2 - 1
    if name == "dcgan":
        up = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
        down = {"kernel_size": 5, "stride": 2, "padding": 2}
        generator = nn.Sequential(
            *[nn.Linear(100, 6272, bias=False), nn.Unflatten(1, (128, 7, 7))],
            *[nn.BatchNorm2d(128), nn.ReLU(), nn.ConvTranspose2d(128, 64, bias=False, **up)],
            *[nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 1, **up), nn.Tanh()],
        )
        discriminator = nn.Sequential(
            *[nn.Conv2d(1, 64, **down), nn.LeakyReLU(0.2)],
            *[nn.Conv2d(64, 128, bias=False, **down), nn.BatchNorm2d(128), nn.LeakyReLU(0.2)],
            *[nn.Flatten(), nn.Linear(6272, 1)],
        )
        players = [adam(n, lr=2e-4, betas=(0.5, 0.999)) for n in (discriminator, generator)]
        softplus = nn.functional.softplus

        def step():
            fakes = generator(torch.rand(64, 100) * 2 - 1).detach()
            loss = softplus(-discriminator(images)).mean() + softplus(discriminator(fakes)).mean()
            players[0].zero_grad()
            loss.backward()
            players[0].step()
            loss = softplus(-discriminator(generator(torch.rand(64, 100) * 2 - 1))).mean()
            players[1].zero_grad()
            loss.backward()
            players[1].step()

    else:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.Tanh(), nn.Linear(400, 40))
        decoder = nn.Sequential(nn.Linear(20, 400), nn.Tanh(), nn.Linear(400, 784))
        optimizer = adam(encoder, decoder, lr=1e-3)

        def step():
            targets = (torch.rand_like(images) < (images + 1) / 2).float()
            mean, log_variance = encoder(targets).chunk(2, -1)
            latents = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            loss = nn.functional.binary_cross_entropy_with_logits(
                decoder(latents), targets.flatten(1), reduction="none"
            ).sum(-1)
            kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(-1)
            optimizer.zero_grad()
            (loss + kl).mean().backward()
            optimizer.step()

    def run():
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) / steps

    return run


if __name__ == "__main__":
    model, count = sys.argv[1:]
    take = runner(model, int(count))
    for _ in sys.stdin:
        print(take(), flush=True)
