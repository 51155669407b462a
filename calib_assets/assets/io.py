"""Reading results as asset values, so that ``defs.load_asset_value("decoding_sweep", partition_key=...)`` works."""

import dagster as dg

from calib_assets.assets.partitions import cell_of
from resources.services import StoreService


class StoreIO(dg.ConfigurableIOManager):
    """Loads the tables of a result; assets write theirs through the store, before Dagster hears of them."""

    store: dg.ResourceDependency[StoreService]

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Never called by this project's assets; a value from elsewhere has no fingerprint, so it is refused."""
        raise TypeError(f"{context.asset_key.to_user_string()}: results go through the artifact store, not IO managers")

    def load_input(self, context: dg.InputContext) -> object:
        """The table named as its asset, or a dict of all tables where there is none of that name."""
        key = context.asset_key.to_user_string()
        cell = cell_of(context.partition_key if context.has_partition_key else None)
        store = self.store.open()
        manifest = store.current(key, cell)
        names = [
            name.removesuffix(".parquet")
            for name in (manifest.files if manifest else {})
            if "/" not in name and name.endswith(".parquet")
        ]
        if key in names or manifest is None:
            return store.table(key, cell, key)
        return {name: store.table(key, cell, name) for name in names}
