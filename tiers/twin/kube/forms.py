"""The forms in which a client may ask for objects: whole, metadata alone, or as table rows.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tiers.twin.kube import kind_columns
from tiers.twin.kube.errors import bad_request, not_acceptable
from tiers.twin.kube.resources import Obj, Resource

META = "meta.k8s.io/v1"
WHOLE, TABLE = "", "Table"
PARTIAL, PARTIAL_LIST = "PartialObjectMetadata", "PartialObjectMetadataList"
_MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_READ = ("*/*", "application/*", "application/json")
_INCLUDED = ("", "None", "Metadata", "Object")


@dataclass(frozen=True)
class Form:
    """What one request gets its objects as."""

    name: str
    resource: Resource
    now: datetime
    include: str = "Metadata"
    convert: Callable[[Obj], Obj] = dict

    def one(self, obj: Obj) -> Obj:
        """One object in this form; a Status is told as it is."""
        if obj.get("kind") == "Status" or "metadata" not in obj:
            return obj
        if self.name == PARTIAL:
            return _partial(obj)
        if self.name == TABLE:
            version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return self._table([self.convert(obj)], version)
        return self.convert(obj)

    def many(self, objects: list[Obj], metadata: Obj) -> Obj:
        """A list; items of built-in kinds do not repeat their kind."""
        resource = self.resource
        if self.name == TABLE:
            return self._table([self.convert(obj) for obj in objects], metadata)
        if self.name == PARTIAL_LIST:
            items = [_partial(obj) for obj in objects]
            return {"kind": PARTIAL_LIST, "apiVersion": META, "metadata": metadata, "items": items}
        items = [self.convert(obj) for obj in objects]
        return {
            "kind": resource.kind + "List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": items if resource.custom else [_item(obj) for obj in items],
        }

    def events(self) -> Callable[[Obj], Obj]:
        """What writes the events of one watch: only its first table says what the columns are."""
        told: list[bool] = []

        def write(event: Obj) -> Obj:
            obj = event["object"]
            if obj.get("kind") == "Status":
                return event
            if self.name == WHOLE:
                return {**event, "object": self.convert(obj)}
            if event["type"] == "BOOKMARK":
                shown = self._table([], obj["metadata"]) if self.name == TABLE else _partial(obj)
            else:
                shown = self.one(obj)
            if self.name == TABLE:
                shown |= {"columnDefinitions": None if told else shown["columnDefinitions"]}
                told.append(True)
            return {**event, "object": shown}

        return write

    def _table(self, objects: list[Obj], metadata: Obj) -> Obj:
        defined = kind_columns.of(self.resource)
        return {
            "kind": TABLE,
            "apiVersion": META,
            "metadata": metadata,
            "columnDefinitions": [column.definition() for column in defined],
            "rows": [
                {"cells": [column.read(obj, self.now) for column in defined], **self._beside(obj)}
                for obj in objects
            ],
        }

    def _beside(self, obj: Obj) -> Obj:
        match self.include:
            case "None":
                return {"object": None}
            case "Object":
                return {"object": obj}
        return {"object": _partial(obj)}


def asked_for(accept: str, form: Form, *, lists: bool) -> Form:
    """The first form of an Accept header that is written here. Raises a 406, or a 400."""
    if form.include not in _INCLUDED:
        raise bad_request(f"unrecognized includeObject value: {form.include!r}")
    known = (TABLE, PARTIAL_LIST) if lists else (TABLE, PARTIAL)
    for media, wanted in _parts(accept):
        if media in _READ and wanted in (WHOLE, *known):
            return replace(form, name=wanted)
    raise not_acceptable(_MEDIA)


def _parts(accept: str) -> Iterator[tuple[str, str]]:
    """Media types in their order, each with the meta.k8s.io/v1 kind that it is wanted as."""
    for part in filter(str.strip, (accept or "*/*").split(",")):
        media, *parameters = (word.strip() for word in part.split(";"))
        given = dict(p.split("=", 1) for p in parameters if "=" in p)
        wanted = given.get("as", WHOLE)
        if wanted and (given.get("g"), given.get("v")) != ("meta.k8s.io", "v1"):
            wanted = "unknown"
        yield media, wanted


def _partial(obj: Obj) -> Obj:
    return {"kind": PARTIAL, "apiVersion": META, "metadata": obj["metadata"]}


def _item(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
