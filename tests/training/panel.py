"""A panel of three households in the form of completejourney."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from training.completejourney import CAMPAIGNS, DESCRIPTIONS, REDEMPTIONS, TRANSACTIONS

PANEL = {
    DESCRIPTIONS: "campaign_id,campaign_type,start_date,end_date\n1,Type B,2017-03-03,2017-04-09\n",
    CAMPAIGNS: "campaign_id,household_id\n1,105\n1,77\n",
    REDEMPTIONS: "household_id,coupon_upc,campaign_id,redemption_date\n105,51380041013,1,2017-03-05\n",
    TRANSACTIONS: "household_id,basket_id,sales_value,transaction_timestamp\n"
    "105,9,3.86,2017-01-28 19:06:53+00:00\n105,9,0.1,2017-01-28 19:06:53+00:00\n88,10,1.0,2017-03-26 17:22:21+00:00\n",
}


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """The folder, with these texts as gzipped files."""
    for name, text in files.items():
        with gzip.open(folder / name, "wt", encoding="utf-8") as file:
            file.write(text)
    return folder
