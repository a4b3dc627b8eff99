"""The server process: HTTP routes, websockets and guards around the job queue. Imports without torch."""
