/** Where a replica in a cluster serves liveness, readiness and metrics: TCP, on the address of its pod. */
export const healthPort = 9080

/** Where it serves its admin interface: TCP, on 127.0.0.1. */
export const adminPort = 9081
