from aio_tune.tracking.card import model_card


def test_metrics_with_their_spread_are_one_row_each() -> None:
    metrics = {
        **{"cv_auc_mean": 0.84, "cv_auc_sd": 0.02, "cv_f1_mean": 0.7},
        **{"oof_auc": 0.83, "oof_auc_low": 0.8, "oof_auc_high": 0.86, "cv_auc_low": 0.5},
    }
    card = model_card(
        "aio-ki67-ensemble",
        what="Five networks.",
        origin={"search": "s", "notes": ""},
        metrics=metrics,
        params={"fc_widths": "8 | 4"},
        missing_genes="training mean, up to 10% of the genes",
    )
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert "| cv_auc | 0.840 ± 0.020 |" in rows
    assert "| cv_f1_mean | 0.700 |" in rows
    assert "| oof_auc | 0.830 [0.800, 0.860] |" in rows
    assert "| cv_auc_low | 0.500 |" in rows, "nothing that it would belong to"
    assert not [row for row in rows if "oof_auc_" in row or "cv_auc_sd" in row or "notes" in row]
    assert "| fc_widths | 8 \\| 4 |" in rows
    assert "training mean, up to 10% of the genes" in card
    assert "## Limits" in card
