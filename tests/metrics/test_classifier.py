"""The bundled classifier: shapes, size, and that it has learned its classes."""

import json

import pytest
import torch

from analysis.errors import UserError
from analysis.metrics.classifier import FOLDER, FashionClassifier, load_classifier

TROUSER = 1


def test_shapes():
    model = FashionClassifier().eval()
    images = torch.rand(3, 1, 32, 32)
    features = model.features(images)
    assert features.shape == (3, model.num_features) == (3, 64)
    assert model(images).shape == (3, 10)
    torch.testing.assert_close(model(images), model.head(features))


def test_features_of_a_picture_do_not_depend_on_its_neighbours():
    model = load_classifier()
    images = torch.rand(4, 1, 32, 32)
    together, alone = model.features(images)[:1], model.features(images[:1])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_bundled_files_are_small_and_say_what_was_measured():
    assert (FOLDER / "model.safetensors").stat().st_size < 1_000_000
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["test_accuracy"] > 0.91
    assert len(config["classes"]) == config["architecture"]["num_classes"] == 10


def test_a_drawn_pair_of_trousers_is_recognised():
    image = torch.zeros(1, 1, 32, 32)
    image[:, :, 3:8, 11:21] = 0.7
    image[:, :, 8:30, 11:15] = 0.7
    image[:, :, 8:30, 17:21] = 0.7
    assert load_classifier()(image).argmax().item() == TROUSER


def test_is_ready_for_use():
    model = load_classifier()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_missing_weights_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"no model\.safetensors in"):
        load_classifier(tmp_path)
