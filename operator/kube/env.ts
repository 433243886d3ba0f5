/** What the process was given, for a look at where Kubernetes is. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The environment of the process: `KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST` and what credential plugins need. */
export function surroundings(): Environment {
  return process.env
}
