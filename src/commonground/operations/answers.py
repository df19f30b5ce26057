"""What reading verbs answer that is a record of a layer below, for doors: they know the verbs and nothing beneath."""

from __future__ import annotations

from commonground.store.backup import Backup
from commonground.store.verify import Verification
from commonground.structure.entities import EntityColumn, EntityType
from commonground.structure.lineage import Dependents, Edge
from commonground.structure.verdicts import Departure

__all__ = ["Backup", "Departure", "Dependents", "Edge", "EntityColumn", "EntityType", "Verification"]
