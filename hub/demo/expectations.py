"""What must be true at the end of the demo, each as a sentence that held or did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Expectations:
    """Collects; `on_each` is told every sentence, whether it held, and what was found if it did not."""

    on_each: Callable[[str, bool, str], None] = lambda *_: None
    broken: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, sentence: str, *, found: object = "") -> bool:
        """Note one; returns whether it held."""
        self.on_each(sentence, is_so, "" if is_so else str(found))
        if not is_so:
            self.broken.append(f"{sentence} (found: {found})" if found != "" else sentence)
        return is_so
