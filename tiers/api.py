"""HTTP API of the tiers."""

from ninja import Router

router = Router()
