"""GitHub's side of git: one bare repository that also holds the branches of forks, as GitHub's own storage does."""

import subprocess
from pathlib import Path

from tests.github.emulator import OWNER

IDENTITY = ["-c", "user.name=Rosa", "-c", "user.email=rosa@example.org", "-c", "commit.gpgsign=false"]
STATUS = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "C": "copied", "T": "changed"}


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git in a folder and return what it printed."""
    command = ["git", *IDENTITY, "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not (check and done.returncode), f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


class BareRepository:
    """Branches are refs/heads/NAME, those of a fork refs/forks/OWNER/NAME; pull requests have head and merge refs."""

    def __init__(self, folder: Path) -> None:
        """Make an empty one."""
        self.folder = folder
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main")

    def git(self, *arguments: str, check: bool = True) -> str:
        """Run git here."""
        return git(self.folder, *arguments, check=check)

    @staticmethod
    def ref(owner: str, branch: str) -> str:
        """Return where somebody's branch is kept."""
        return f"refs/heads/{branch}" if owner == OWNER else f"refs/forks/{owner}/{branch}"

    def sha(self, ref: str) -> str | None:
        """Return the commit that a ref, or the start of a SHA, names; None if it names none."""
        return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False) or None

    def refs(self, prefix: str) -> dict[str, str]:
        """Return {refs/tags/v1: object} for all refs that start with a prefix, in order of name."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix.rpartition("/")[0]).splitlines()
        found = dict(line.split(" ") for line in lines)
        return {name: sha for name, sha in sorted(found.items()) if name.startswith(prefix)}

    def set_ref(self, ref: str, sha: str) -> None:
        """Create a ref or move it."""
        self.git("update-ref", ref, sha)

    def merge(self, base: str, head: str, message: str, parents: tuple[str, ...]) -> str | None:
        """Return a commit that has `head` merged into `base`; None if they conflict."""
        done = self.git("merge-tree", "--write-tree", base, head, check=False).splitlines()
        if len(done) != 1:
            return None
        return self.git("commit-tree", done[0], *(f"-p{sha}" for sha in parents), "-m", message)

    def changed(self, base: str, head: str) -> list[dict]:
        """Return the files that `head` changes since it left `base`, as GitHub lists them."""
        start = self.git("merge-base", base, head)
        counts = {}
        for line in self.git("diff", "--numstat", "--no-renames", start, head).splitlines():
            added, removed, name = line.split("\t")
            counts[name] = (0 if added == "-" else int(added), 0 if removed == "-" else int(removed))
        files = []
        for line in self.git("diff", "--name-status", "-M", start, head).splitlines():
            letter, *names = line.split("\t")
            added, removed = counts.get(names[-1], (0, 0))
            sizes = {"additions": added, "deletions": removed, "changes": added + removed}
            old = {"previous_filename": names[0]} if len(names) > 1 else {}
            files.append({"filename": names[-1], "status": STATUS[letter[0]]} | sizes | old)
        return files

    def commits(self, base: str, head: str) -> list[str]:
        """Return the commits of `head` that `base` has not, oldest first."""
        return self.git("rev-list", "--reverse", f"{base}..{head}").split()

    def commit(self, sha: str) -> dict:
        """Return a commit as the API shows it."""
        parts = self.git("show", "--no-patch", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%B", sha).split("\0")
        author = {"name": parts[3], "email": parts[4], "date": parts[5]}
        commit = {"message": parts[6], "tree": {"sha": parts[1]}, "author": author, "committer": author}
        return {"sha": parts[0], "commit": commit, "parents": [{"sha": parent} for parent in parts[2].split()]}
