from __future__ import annotations

import gzip
import hashlib
import sys

import pytest

from membrane.errors import UsageError
from training.table_file import read_table_file


def made(tmp_path, body, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def test_columns_come_as_text_and_with_the_digest_of_the_file(tmp_path):
    path = made(tmp_path, '\ufeffa,b\n1,"x, y"\n\n2,\n')
    table = read_table_file(path)
    assert table.columns == {"a": ["1", "2"], "b": ["x, y", ""]}
    assert table.rows == 2
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_seen_in_the_header(tmp_path, separator):
    table = read_table_file(made(tmp_path, f"a{separator}b\n1,5{separator}2\n"))
    assert table.columns == {"a": ["1,5"], "b": ["2"]}


def test_a_gzipped_table_is_read(tmp_path):
    assert read_table_file(made(tmp_path, gzip.compress(b"a\n1\n", mtime=0), "t.csv.gz")).columns == {"a": ["1"]}


@pytest.mark.parametrize(
    ("body", "name", "problem"),
    [
        ("a,b\n1\n", "t.csv", "row 2: 2 cells are required, got 1"),
        ("a,a\n1,2\n", "t.csv", "'a' stands there twice"),
        ("a,b\n", "t.csv", "a header and at least one row"),
        ("", "t.csv", "a header and at least one row"),
        (b"\xff\xfe\x00", "t.csv", "text in UTF-8 is required"),
        (b"no gzip", "t.csv.gz", "text in UTF-8 is required"),
        (gzip.compress(b"a\n1\n", mtime=0)[:-9], "t.csv.gz", "text in UTF-8 is required"),
        ('a,b\n"1,2\n', "t.csv", "CSV is required"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path, body, name, problem):
    path = made(tmp_path, body, name)
    with pytest.raises(UsageError, match=problem) as caught:
        read_table_file(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.csv: a table is required"):
        read_table_file(tmp_path / "nowhere.csv")


def test_parquet_without_its_reader_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="requires the package pyarrow"):
        read_table_file(made(tmp_path, b"PAR1", "t.parquet"))


def test_parquet_is_read_where_its_reader_is_there(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads Parquet, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, which reads Parquet, is not installed")
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"a": [1.5, None], "b": ["x", "y"]}), path)
    assert read_table_file(path).columns == {"a": ["1.5", ""], "b": ["x", "y"]}
    path.write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="Parquet is required"):
        read_table_file(path)
