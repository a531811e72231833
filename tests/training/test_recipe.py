import json

import pytest

from genre.errors import GenreError
from genre.training.recipe import RECIPES, read_recipes, recipes_json


def test_recipes_are_read_as_they_were_written(tmp_path):
    (tmp_path / "recipes.json").write_text(json.dumps(recipes_json(RECIPES)))
    assert read_recipes(tmp_path / "recipes.json") == RECIPES
    (tmp_path / "metrics.json").write_text(json.dumps({"training": {"members": recipes_json(RECIPES)}}))
    assert read_recipes(tmp_path / "metrics.json") == RECIPES
    (tmp_path / "short.json").write_text('{"mine": {"front_end": "sparse", "pretrained": {"epochs": 2}}}')
    (recipe,) = read_recipes(tmp_path / "short.json").values()
    assert recipe.pretrained.epochs == 2 and recipe.batch_size == 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "holds no recipes: "),
        ("[]", "holds no recipes: "),
        ("{}", "the name of a member is missing or not valid"),
        ('{"../up": {"front_end": "sparse"}}', "the name of a member is missing or not valid"),
        ('{"mine": "Recipe()"}', "mine is no group of settings"),
        ('{"mine": {}}', "mine has no front_end"),
        ('{"mine": {"front_end": "best"}}', "mine: front_end is none of sparse, smooth"),
        ('{"mine": {"front_end": "sparse", "speed": 2}}', "mine has no setting speed"),
        ('{"mine": {"front_end": "sparse", "batch_size": "8"}}', "mine, batch_size is no int"),
        ('{"mine": {"front_end": "sparse", "batch_size": true}}', "mine, batch_size is no int"),
        ('{"mine": {"front_end": "sparse", "batch_size": 0}}', "mine: batch_size is not a number from 1 on"),
        ('{"mine": {"front_end": "sparse", "dropout": 2}}', "mine: dropout is not a number from 0 to 1"),
        ('{"mine": {"front_end": "sparse", "input_size": [8]}}', "mine, input_size is no list of 2"),
        (
            '{"mine": {"front_end": "sparse", "pretrained": {"epochs": 1, "learning_rate": NaN}}}',
            "mine, pretrained: learn",
        ),
        ('{"mine": {"front_end": "sparse", "pretrained": {}}}', "mine, pretrained has no epochs"),
    ],
)
def test_a_file_that_holds_no_recipes_is_one_sentence(tmp_path, content, message):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(GenreError, match=r"mine\.json holds no recipes: .*\.$") as error:
        read_recipes(tmp_path / "mine.json")
    assert message in str(error.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(GenreError, match="cannot be read: No such file"):
        read_recipes(tmp_path / "none.json")
