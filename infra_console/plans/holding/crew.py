"""Threads for steps that are tried at once, each with a database connection of its own.

A crew lives for one turn of one worker: whoever leaves it waits for what is in flight, so that no
write of a turn comes after its end.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew:
    """Up to `size` calls at once. Use as a context manager."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="steps")
        self._opened: dict[int, BaseDatabaseWrapper] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        for held in self._opened.values():
            held.close()

    def each(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        enough: Callable[[Result], bool],
    ) -> Iterator[tuple[Item, Result]]:
        """Each item with its result, as they come.

        After a result that is `enough`, or an error, no further item is begun; those in flight are
        still handed over, and then the first error is raised.
        """
        todo, over = iter(items), False
        going: dict[Future[Result], Item] = {}
        failed: BaseException | None = None
        while True:
            while not over and len(going) < self._size and (item := next(todo, None)) is not None:
                going[self._pool.submit(self._call, work, item)] = item
            if not going:
                break
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                item = going.pop(future)
                if err := future.exception():
                    failed, over = failed or err, True
                    continue
                over = over or enough(future.result())
                yield item, future.result()
        if failed:
            raise failed

    def _call(self, work: Callable[[Item], Result], item: Item) -> Result:
        held = connections[connection.alias]
        if id(held) not in self._opened:
            held.inc_thread_sharing()  # closed by the thread that waits for this one's end
            self._opened[id(held)] = held
        held.ensure_connection()  # whoever finds none opens one for a single question
        return work(item)
