"""Apps for real servers, one module a framework, all with the same handler: what `vectors/requests.json` says of an app.

Each answers at `/webhook`; at `/read`, where something has read the body before in the way that the framework keeps; and at
`/consumed`, where it is gone. The last two are left out where the framework has no such thing.
"""
