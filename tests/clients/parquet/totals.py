"""Prints the total of BilledCost of each invoice in Parquet files, as JSON."""

import json
import sys
from collections import defaultdict
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

totals = defaultdict(Decimal)
rows = 0
for path in sys.argv[1:]:
    table = pq.read_table(path)
    rows += table.num_rows
    cost = table.schema.field("BilledCost")
    assert cost.type == pa.decimal128(38, 14), cost
    start = table.schema.field("ChargePeriodStart")
    assert start.type == pa.timestamp("us", tz="UTC"), start
    for group in table.group_by("InvoiceId").aggregate([("BilledCost", "sum")]).to_pylist():
        totals[group["InvoiceId"]] += group["BilledCost_sum"]
print(json.dumps({"rows": rows, "totals": {key: str(total) for key, total in totals.items()}}))
