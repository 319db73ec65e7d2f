"""What the fabric keeps. Documents and their vectors are the truth; indexes can be lost."""

from django.db import models

from fabric.core.points import TARGET_RECALL


class Collection(models.Model):
    """Documents that are searched together, with the embedding and the rights that hold for all."""

    class State(models.TextChoices):
        INGESTING = "ingesting"
        READY = "ready"
        FAILED = "failed"

    name = models.SlugField(unique=True, max_length=60)
    state = models.CharField(max_length=12, choices=State, default=State.INGESTING)
    reason = models.TextField(default="", blank=True)
    embedder = models.CharField(max_length=80, default="", blank=True)
    dimension = models.PositiveIntegerField(default=0)
    # {role: [partitions]}; "*" is all of them
    rights = models.JSONField(default=dict)
    partition_by = models.CharField(max_length=100, default="", blank=True)  # metadata field
    digest = models.CharField(max_length=64)  # of the corpus file
    expected = models.PositiveIntegerField()  # documents in it
    skipped = models.PositiveIntegerField(default=0)  # without a word to embed
    target_recall = models.FloatField(default=TARGET_RECALL)
    limit_ms = models.PositiveIntegerField(default=1000)
    created_at = models.DateTimeField()
    ingested_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """One text and its vector, float32 of unit length."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="documents")
    key = models.CharField(max_length=200)  # its name in the corpus
    partition = models.CharField(max_length=100)
    title = models.TextField(default="", blank=True)
    text = models.TextField()
    metadata = models.JSONField(default=dict)
    vector = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("collection", "key"), name="fabric_document_once"),
        )
        indexes = (models.Index(fields=("collection", "partition")),)

    def __str__(self) -> str:
        return f"{self.collection_id}/{self.key}"


class SampleQuery(models.Model):
    """A question that came with the collection: what efforts are first measured on."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="samples")
    key = models.CharField(max_length=200)
    text = models.TextField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("collection", "key"), name="fabric_sample_once"),
        )

    def __str__(self) -> str:
        return self.text[:60]


class StoreIndex(models.Model):
    """One store's index of a collection, the one in use. Efforts below `least_effort` were found
    short by an audit and are not used any more; it only ever rises. A plan that builds it anew puts
    another generation in its place, at `switched_at`."""

    class State(models.TextChoices):
        BUILDING = "building"
        READY = "ready"
        FAILED = "failed"

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="indexes")
    store = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State, default=State.BUILDING)
    problem = models.TextField(default="", blank=True)
    indexed = models.PositiveIntegerField(default=0)
    least_effort = models.PositiveIntegerField(default=0)
    built_at = models.DateTimeField(null=True)
    generation = models.PositiveIntegerField(default=0)
    switched_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("store",)
        constraints = (
            models.UniqueConstraint(fields=("collection", "store"), name="fabric_index_once"),
        )

    def __str__(self) -> str:
        return f"{self.collection_id}/{self.store}"


class IndexBuild(models.Model):
    """An index beside the one in use, for a plan: being built, built, or the former one that is
    kept for the way back. `points` are its operating points, as rows of `OperatingPoint`."""

    class State(models.TextChoices):
        BUILDING = "building"
        BUILT = "built"  # measured, and reaches the target
        SHORT = "short"  # measured, and does not; its index is dropped
        FAILED = "failed"
        KEPT = "kept"

    index = models.ForeignKey(StoreIndex, models.CASCADE, related_name="builds")
    plan = models.CharField(max_length=36)
    generation = models.PositiveIntegerField()
    parameters = models.JSONField()
    state = models.CharField(max_length=12, choices=State, default=State.BUILDING)
    problem = models.TextField(default="", blank=True)
    indexed = models.PositiveIntegerField(default=0)
    least_effort = models.PositiveIntegerField(default=0)
    points = models.JSONField(default=list)
    ordered_at = models.DateTimeField()
    built_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("index", "plan"), name="fabric_build_once_a_plan"),
            models.UniqueConstraint(fields=("index", "generation"), name="fabric_generation_once"),
        )

    def __str__(self) -> str:
        return f"{self.index} {self.generation}"


class OperatingPoint(models.Model):
    """What one effort of an index was measured to reach and to cost."""

    index = models.ForeignKey(StoreIndex, models.CASCADE, related_name="points")
    effort = models.PositiveIntegerField()
    recall = models.FloatField()
    recall_lower = models.FloatField()
    mean_ms = models.FloatField()
    p50_ms = models.FloatField()
    p95_ms = models.FloatField()
    queries = models.PositiveIntegerField()
    measured_at = models.DateTimeField()

    class Meta:
        ordering = ("effort",)
        constraints = (
            models.UniqueConstraint(fields=("index", "effort"), name="fabric_point_once"),
        )

    def __str__(self) -> str:
        return f"{self.index_id} at {self.effort}"


class QueryLog(models.Model):
    """A question that was answered, kept until an audit has had its chance at it."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="log")
    at = models.DateTimeField()
    vector = models.BinaryField()
    partitions = models.JSONField()
    k = models.PositiveSmallIntegerField()
    asks = models.JSONField()  # [[store, effort], …] that answered
    results = models.JSONField()  # ids of documents, nearest first
    ms = models.FloatField()
    partial = models.BooleanField()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("collection", "-id")),)

    def __str__(self) -> str:
        return f"{self.collection_id} at {self.at:%Y-%m-%d %H:%M:%S}"


class RecallAudit(models.Model):
    """A sample of the log repeated exactly, and what followed from it."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="audits")
    at = models.DateTimeField()
    queries = models.PositiveIntegerField()
    recall = models.FloatField()
    recall_lower = models.FloatField()
    below_80 = models.FloatField()  # share of queries that lost more than a fifth
    target = models.FloatField()
    until = models.PositiveBigIntegerField()  # the newest logged query that was in reach
    # {store: [effort before, after]}
    raised = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.collection_id}: {self.recall:.4f}"
