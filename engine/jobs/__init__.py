"""Jobs: the durable store, the queue, and the worker processes that run them. Imports without torch and without aiohttp.

A *job* is one accepted prompt. A *worker* is a process that runs jobs, one at a time, on one device. An *attempt* is one
start of a job on a worker; a job whose worker dies gets a second one.
"""
