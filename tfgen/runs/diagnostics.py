"""The training diagnostics: says in words, while a model trains, what goes wrong with it."""

import csv
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgen import figures, files, random
from tfgen.endpoint import affordable, draw
from tfgen.model import without_missing
from tfgen.objectives import losses

PATIENCE = 5  # examinations in turn that must agree
BEGINNING = 20  # examinations, until which a generator may not have found its way out of one point

EARLY = 2000  # steps, before which samples may be alike because nothing was learnt yet
FEW = 8  # test rows, below which training rows tell how far data are from each other

SURE = 0.05  # D(x) is above 1 - SURE and D(G(z)) below SURE: hardly anything is left to learn
ALIKE = {"diversity/pairs": 0.2, "diversity/neighbours": 0.03}  # of the data's
# Of the largest gradient that was seen, and by itself: the losses of a game are of the order of 1.
VANISHED, TINY = 1e-3, 1e-4
DEAD = 0.01  # nats of divergence from the prior, below which a latent says nothing


class Diagnostics(keras.callbacks.Callback):
    """Examines a model every few steps, says what it finds, and draws the curves.

    `diagnostics.csv` and `diagnostics.png` hold, as far as the model's endpoints allow:

        gradient/OBJECTIVE     norm of the gradient on the probe, for the objective's own networks
        discriminator/D(x)     mean of sigmoid(logits); `reals` and `fakes`, means of the output
        discriminator/D(G(z))  itself, where the discriminator's loss is not a cross-entropy
        diversity/pairs        of samples from fixed seeds: root mean square distance of two, and
        diversity/neighbours   mean distance to the nearest other; both divided by the data's
        latents/dead           of `latents/all`, how many are within 0.01 nats of the prior

    Gradients and discriminator are measured as in training, with batches' own statistics and with
    dropout, on the same rows and noise each time. What this moves is put back, so that training
    goes on bit by bit as without it.

    Args:
        batch: a batch as the losses take it, some 64 rows that training does not see.
        folder: for the two files, or None for none. The rows of a resumed run are kept.
        every: steps between two examinations.
        say: takes each sentence.

    Attributes:
        rows: those of the file, a dict each.
        findings: `{name: sentence}`, what is wrong now.
    """

    ROWS = 64  # of the batch that `train` gives

    def __init__(self, batch, folder=None, every=100, say=print):
        super().__init__()
        self.batch, self.every, self.say = without_missing(batch), every, say
        self.folder = pathlib.Path(folder) if folder else None
        self.rows, self.findings, self.broken, self._run = [], {}, {}, None

    def on_train_begin(self, logs=None):
        if self._run is None:  # `fit` may be called for several pieces of one training
            self._prepare()
        path = self.folder and self.folder / "diagnostics.csv"
        if path and path.exists():
            with open(path, newline="") as file:
                kept = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
            kept = [row | {"step": int(row["step"])} for row in kept]
            self.rows = [row for row in kept if row["step"] <= int(self.model.step.numpy())]
        if not self.rows:
            self._note()

    def on_train_batch_end(self, batch, logs=None):
        for term, value in logs.items():
            if term not in self.broken and not np.isfinite(value).all():
                self.broken[term] = f"{term} is not a finite number: try lower learning rates"
                self.say(f"diagnostics: {self.broken[term]}")
        # Not `step % every`: several steps may run at once.
        if int(self.model.step.numpy()) - self.rows[-1]["step"] >= self.every:
            self._note()

    def on_train_end(self, logs=None):
        if self.folder:
            figures.save(picture(self.rows), self.folder / "diagnostics.png")

    def conclude(self):
        """Says at the end of a training what is wrong, or that it is too early to tell."""
        step, needed = int(self.model.step.numpy()), BEGINNING * self.every
        if self.findings:
            told = f"at the end: {', '.join(sorted(self.findings))}"
        elif len(self.rows) < BEGINNING:
            told = (
                f"{step:,} steps are too few to tell whether anything is wrong: it takes {needed:,}"
            )
        else:
            told = "nothing wrong was found"
        self.say(f"diagnostics, step {step}: {told}")

    def _prepare(self):
        strategy = self.model.distribute_strategy
        self._run = tf.function(lambda: strategy.run(self._examine), autograph=False)
        reals = tf.nest.flatten(self.batch)[0]
        endpoint, self.sample = self.model.endpoints.get("sample"), None
        if endpoint and endpoint.outputs[0].shape == tuple(reals.shape[1:]):
            self.diversity, seeds = diversity(reals), tf.range(len(reals))
            self.sample = tf.function(lambda: draw(endpoint, seeds), autograph=False)

    def _note(self):
        """Examines, writes down, and says what is new."""
        step = int(self.model.step.numpy())
        row = {"step": step} | self._measure()
        self.rows.append(row)
        found = diagnoses(self.rows)
        for name in found.keys() - self.findings.keys():
            self.say(f"diagnostics, step {step}: {found[name]}")
        for name in self.findings.keys() - found.keys() - self.broken.keys():
            self.say(f"diagnostics, step {step}: no longer: {name}")
        self.findings = found | self.broken
        if self.folder:
            path = self.folder / "diagnostics.csv"
            with files.replacing(path) as temporary, open(temporary, "w", newline="") as file:
                writer = csv.DictWriter(file, self.rows[0].keys())
                writer.writeheader()
                writer.writerows(self.rows)

    def _measure(self):
        metrics = {id(v) for metric in self.model.metrics for v in metric.variables}
        moved = [v for v in self.model.non_trainable_variables if id(v) not in metrics]
        before = [v.numpy() for v in moved]
        values = self._run()
        for variable, value in zip(moved, before, strict=True):
            variable.assign(value)
        results = self.model.distribute_strategy.experimental_local_results
        row = {name: float(results(value)[0]) for name, value in values.items()}
        if self.sample:
            own = diversity(self.sample())
            row |= {name: own[name] / self.diversity[name] for name in own}
        return row

    def _examine(self):
        model, endpoints, batch = self.model, self.model.endpoints, self.batch
        with random.place(0, tf.constant(0), testing=True):
            row = {
                f"gradient/{name}": self._gradient(objective, model.optimizers[name])
                for name, objective in model.objectives.items()
                if name in model.optimizers
            }
            if "discriminate" in endpoints and "sample" in endpoints:
                row |= model.play(self._players, batch, training=True)
        if "encode" in endpoints and endpoints["encode"].outputs[-1].name == "scales":
            mean, scale = endpoints["encode"](**_named(endpoints["encode"], batch)).values()
            divergence = 0.5 * (mean**2 + scale**2 - 1.0) - tf.math.log(scale)  # from N(0, 1)
            dead = tf.reduce_mean(divergence, axis=0) < DEAD
            row |= {"latents/dead": tf.math.count_nonzero(dead), "latents/all": tf.size(dead)}
        return row

    def _gradient(self, objective, optimizer):
        scale = optimizer.scale_loss(tf.constant(1.0))  # so that float16 does not lose it
        with tf.GradientTape() as tape:
            terms = self.model.terms(objective, self.batch)
            loss = scale * tf.add_n(list(terms.values()))
        slopes = tape.gradient(loss, [v.value for v in objective.variables])
        return tf.linalg.global_norm(slopes) / scale

    def _players(self, batch):
        """What the discriminator says of data and samples."""
        sample, discriminate = (self.model.endpoints[k] for k in ("sample", "discriminate"))
        inputs = _named(discriminate, batch)
        fakes = sample(seeds=random.fresh(batch)[:, 1], **_named(sample, batch, skip=("seeds",)))
        name, output = discriminate.inputs[0].name, discriminate.outputs[0].name
        fakes = inputs | {name: fakes[sample.outputs[0].name]}
        reals, fakes = (discriminate(**rows)[output] for rows in (inputs, fakes))
        adversarial = getattr(self.model, "adversarial", None)
        if adversarial and adversarial.discriminator is losses.non_saturating.discriminator:
            names, reals, fakes = ("D(x)", "D(G(z))"), tf.sigmoid(reals), tf.sigmoid(fakes)
        else:
            names = ("reals", "fakes")
        means = tf.reduce_mean(reals), tf.reduce_mean(fakes)
        return {f"discriminator/{name}": mean for name, mean in zip(names, means, strict=True)}


def _named(endpoint, batch, skip=()):
    """The rows and labels of a batch, by the names of an endpoint's inputs."""
    names = [element.name for element in endpoint.inputs if element.name not in skip]
    leaves = tf.nest.flatten(batch)
    if skip:  # what is left after the seeds are labels
        leaves = leaves[1:]
    return dict(zip(names, leaves, strict=False))


def diversity(rows):
    """How far rows are from each other.

    Args:
        rows: float `[N, ...]`, N at least 2.

    Returns:
        `{"diversity/pairs": the root mean square distance of two, "diversity/neighbours": the mean
        distance to the nearest other}`.
    """
    rows = np.reshape(rows, [len(rows), -1]).astype("float64")
    squares = (rows**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)
    others = ~np.eye(len(rows), dtype=bool)
    nearest = np.where(others, distances, np.inf).min(axis=1)
    return {
        "diversity/pairs": float(np.sqrt(distances[others].mean())),
        "diversity/neighbours": float(np.sqrt(nearest).mean()),
    }


def diagnoses(rows):
    """What the last examinations agree on.

    Args:
        rows: as `Diagnostics.rows`, the latest last.

    Returns:
        `{name: sentence}`; empty for a healthy model, and before there are enough examinations.
    """
    recent, found = rows[-PATIENCE:], {}
    if len(recent) < PATIENCE:
        return found
    last = recent[-1]

    if "discriminator/D(x)" in last and all(
        row["discriminator/D(x)"] > 1 - SURE and row["discriminator/D(G(z))"] < SURE
        for row in recent
    ):
        found["overpowered discriminator"] = (
            f"the discriminator is overpowered: D(x) = {last['discriminator/D(x)']:.3f} and "
            f"D(G(z)) = {last['discriminator/D(G(z))']:.3f}. Lower its learning rate, make it "
            "smaller, or add noise or dropout to it"
        )
    players = any(key.startswith("discriminator/") for key in last)
    for key in last:
        name, largest = key.removeprefix("gradient/"), max(row[key] for row in rows)
        # That of a discriminator which has won vanishes too, and is told above.
        if not players or name == key or name.startswith(("discriminator", "critic")):
            continue
        if all(row[key] < max(TINY, VANISHED * largest) for row in recent):
            found[f"vanishing gradient of the {name}"] = (
                f"the {name}'s gradient has vanished: its norm is {last[key]:.2g}, and was up to "
                f"{largest:.2g}. A saturating loss does this when the discriminator is sure: take "
                "the non-saturating one, or a weaker discriminator"
            )
    alike = [any(row.get(key, 1.0) < least for key, least in ALIKE.items()) for row in rows]
    fell = not all(alike) or len(rows) >= BEGINNING
    if all(alike[-PATIENCE:]) and fell:
        found["collapse"] = (
            f"collapse: {_alike(last)}. Lower the learning rates, train the discriminator more, or "
            "begin anew"
        )
    if "latents/dead" in last and all(
        row["latents/dead"] >= row["latents/all"] / 2 for row in recent
    ):
        found["dead latents"] = (
            f"{last['latents/dead']:.0f} of {last['latents/all']:.0f} latents are dead: the "
            "encoder tells nothing through them. A smaller weight of the divergence, or a weaker "
            "decoder, would wake them; or take fewer"
        )
    return found


def _alike(row):
    return (
        f"samples of different seeds are alike, {row['diversity/pairs']:.0%} as far from each "
        f"other as data, {row['diversity/neighbours']:.0%} from their nearest"
    )


def collapse(model, data):
    """Says whether a trained model has collapsed, by samples beside test rows.

    Args:
        model: a `GenerativeModel`.
        data: the `Data` of its stage.

    Returns:
        A sentence; None where samples differ as they should, or where there is no telling: no
        endpoint `sample`, other rows than the data's, or hardly any data.
    """
    endpoint = model.endpoints.get("sample")
    if not endpoint or endpoint.outputs[0].shape != data.element.shape:
        return None
    count = affordable(endpoint, Diagnostics.ROWS)
    reals = data.rows("test", count)
    if len(reals) < FEW:
        reals = data.rows("train", count)
    own, theirs = diversity(draw(endpoint, tf.range(len(reals)))), diversity(reals)
    row = {name: own[name] / theirs[name] if theirs[name] else 1.0 for name in own}
    if all(row[name] >= least for name, least in ALIKE.items()):
        return None
    step = int(model.step.numpy())
    early = f", or {step:,} steps are too few" if step < EARLY else ""
    return f"{_alike(row)}: the model has collapsed{early}"


def picture(rows):
    """The curves of an examined training, a `PIL.Image`; gradients on a logarithmic scale."""
    history = {key: [row[key] for row in rows] for key in rows[0] if key != "step"}
    return figures.curves(history, [row["step"] for row in rows], logarithmic=("gradient",))
