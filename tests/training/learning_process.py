"""`python -m tests.training.learning_process DIR COUNT`: learns made-up examples into DIR, to be killed on the way."""

import sys
from contextlib import closing
from pathlib import Path

from storage.directory import DataDir
from storage.learner import LearnerStore
from tests.training.learning import Rows, examples
from tests.training.test_learner import learner
from training.publishing import install


def main(data: str, count: str) -> None:
    directory = DataDir.open(Path(data), 4)
    with closing(LearnerStore.open(directory)) as store:
        one = learner(store, Rows(examples(int(count))), every_labels=100)
        sys.stdout.write("learning\n")
        sys.stdout.flush()
        while True:
            for kind in one.due():
                bundle = one.draft(kind)
                one.published(kind, install(directory.models_path, bundle) if bundle else None)
            if not one.step():
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
