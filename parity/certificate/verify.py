"""`python -m parity verify`."""

import dataclasses
from pathlib import Path

import tyro

from parity.certificate.certificate import differences, holds, path_in, renewal
from parity.errors import UsageError
from parity.judge.verdict import Verdict
from parity.report.record import from_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify:
    """Tells whether the certificate in the folder of a run, its parity.json, still holds: repeats the check, compares
    what it finds with what was recorded, and weights and config by their SHA-256. Ends with status 0 if all holds and
    the verdict is PASS, 1 if not, 2 if there is nothing to verify."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""

    def run(self) -> int:
        """Returns the exit status."""
        text = path_in(self.folder).read_bytes()
        try:
            kept = from_json(text.decode())
        except ValueError as error:
            return self._refuse((str(error),))
        from parity.certificate.trained import check_run

        try:
            now = check_run(self.folder)
        except ValueError as error:
            raise UsageError(str(error)) from error
        found = differences(kept, now)
        if found:
            return self._refuse(found)
        if now.verdict is not Verdict.PASS:
            return self._refuse((f"the certificate holds, but it is none of equality: {holds(now)}",))
        print(f"parity verified: {holds(now)}")
        return 0

    def _refuse(self, found: tuple[str, ...]) -> int:
        """Prints why the certificate is none."""
        more = f", first of {len(found):,} differences" if len(found) > 1 else ""
        print(f"parity NOT verified: {found[0]}{more}")
        for line in found[1:]:
            print(f"  {line}")
        print(f"  to write a new certificate: {renewal(self.folder)}")
        return 1
