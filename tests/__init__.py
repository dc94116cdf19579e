"""Tests of FM Studio: unit (no Qt), ui (offscreen), worker (real processes), plugins, journeys, benchmarks."""
