from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from guidealign.alignment import AlignedData, AlignedExample
from guidealign.errors import ConfigurationError, IntegrityError
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.model import Lineage
from guidealign.labrador.package import check_reload, write_package
from guidealign.platform import find_base, load_files
from guidealign.settings import LabradorSettings, Settings

pytestmark = pytest.mark.slow

SETTINGS = LabradorSettings(rank=4, alpha=8, learning_rate=1e-2, max_steps=4, batch_size=2)
EXAMPLES = tuple(
    AlignedExample(input_id=i, prompt=f"Question {i}", response="Be kind.") for i in range(4)
)
DATA = AlignedData(
    dataset_id=7,
    digest="d" * 64,
    model="guidealign-base",
    library_version=3,
    retriever_version=2,
    examples=EXAMPLES,
)


@pytest.fixture(scope="module")
def package(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and saved tiny Labrador."""
    base = find_base(Settings(labrador=LabradorSettings(base_model=str(tiny_folder))))
    model, tokenizer = load_files(base.folder)
    rows = tokenize(EXAMPLES, tokenizer, max_length=96).rows
    trained = fit(add_adapters(model, SETTINGS), rows, SETTINGS, lambda *_: None)
    folder = tmp_path_factory.mktemp("package")
    write_package(
        trained.model,
        tokenizer,
        folder,
        lineage=Lineage(base=base, data=DATA, settings=SETTINGS),
        rows=rows,
        metrics=trained.metrics,
    )
    return folder


def test_a_reload_gives_the_logits_of_the_merged_model(package: Path) -> None:
    assert check_reload(package) <= 1e-4


def test_the_merged_model_is_the_base_with_its_adapter(package: Path, tiny_folder: Path) -> None:
    import torch
    from peft import PeftModel

    merged, tokenizer = load_files(package)
    base, _ = load_files(tiny_folder)
    tokens = tokenizer("What now?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        plain = base(input_ids=tokens).logits
        adapted = PeftModel.from_pretrained(base, package / "adapter").eval()(input_ids=tokens)
        difference = (merged(input_ids=tokens).logits - adapted.logits).abs().max()
        assert float(difference) < 1e-4
        assert float((adapted.logits - plain).abs().max()) > 1e-3


def test_weights_that_are_not_the_trained_ones_are_refused(
    package: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """The base's weights under the trained model's name: what silent re-initialising gives."""
    swapped = tmp_path / "swapped"
    shutil.copytree(package, swapped)
    shutil.copy(tiny_folder / "model.safetensors", swapped / "model.safetensors")
    with pytest.raises(IntegrityError, match="logits differ"):
        check_reload(swapped)


def test_a_package_without_logits_to_compare_is_refused(package: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(package, bare)
    (bare / "reload_check.safetensors").unlink()
    with pytest.raises(IntegrityError, match="reload_check"):
        check_reload(bare)


def test_a_package_is_native_files_and_says_where_it_comes_from(package: Path) -> None:
    names = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    } <= names
    assert not [n for n in names if n.endswith((".bin", ".pkl", ".pt", ".pth"))]
    card = (package / "README.md").read_text()
    assert "d" * 64 in card
    assert "library version | 3" in card
    assert str(Path.home()) not in (package / "adapter/adapter_config.json").read_text()


def test_equal_making_has_an_equal_key_wherever_the_base_lies(
    tiny_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_folder, copy)

    def key(folder: Path, **change: Any) -> str:
        settings = LabradorSettings(base_model=str(folder), **change)
        base = find_base(Settings(labrador=settings))
        return Lineage(base=base, data=DATA, settings=settings).settings_key

    assert key(tiny_folder) == key(copy)
    assert key(tiny_folder) != key(tiny_folder, rank=2)
    (copy / "generation_config.json").write_text("{}")
    assert key(tiny_folder) != key(copy)


def test_a_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = LabradorSettings(base_gguf=tmp_path / "none.gguf")
    with pytest.raises(ConfigurationError, match=r"none\.gguf"):
        find_base(Settings(labrador=missing))
