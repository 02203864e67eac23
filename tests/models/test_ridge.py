import numpy as np
import pytest
import sklearn.linear_model

from physiopipe.models.ridge import Ridge


@pytest.mark.parametrize("rows", [12, 60])
def test_it_is_scikit_learns_ridge_with_fewer_and_more_rows_than_features(rows: int) -> None:
    random = np.random.default_rng(0)
    features, others = random.normal(2, 1, (rows, 30)), random.normal(2, 1, (7, 30))
    targets = np.sign(random.normal(size=(rows, 2)))
    penalties = np.array([0.05, 3.0, 400.0])
    ridge = Ridge.fit(features, targets)
    for penalty, found in zip(penalties, ridge.predictions(others, penalties), strict=True):
        expected = sklearn.linear_model.Ridge(alpha=penalty).fit(features, targets)
        np.testing.assert_allclose(found, expected.predict(others), atol=1e-9)
    coefficients, intercepts = ridge.weights(penalties[:2])
    for task in range(2):
        expected = sklearn.linear_model.Ridge(alpha=penalties[task]).fit(features, targets[:, task])
        np.testing.assert_allclose(coefficients[:, task], expected.coef_, atol=1e-9)
        np.testing.assert_allclose(intercepts[task], expected.intercept_, atol=1e-9)
