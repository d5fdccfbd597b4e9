"""Schedules: published orders, the verifier against a naive executor, files, builders."""
