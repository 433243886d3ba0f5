import { systemClock } from '#lib/clock.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { LeaderElection } from '../../operator/kube/leader-election.ts'
import { kubeMetrics } from '../../operator/kube/metrics.ts'
import { configFromText } from '../../operator/kube/kubeconfig.ts'
import { silentLog } from './cluster.ts'

/** A process that competes for a Lease and says what becomes of it: `candidate.ts IDENTITY NAMESPACE`, kubeconfig on stdin. */
const [identity = '', namespace = ''] = process.argv.slice(2)
let text = ''
for await (const chunk of process.stdin) text += String(chunk)

const election = new LeaderElection({
  api: new KubeClient({ config: configFromText(text), clock: systemClock }),
  lease: { namespace, name: 'operator' },
  identity,
  onElected: (epoch) => console.log(`elected ${epoch}`),
  onLost: () => console.log('lost'),
  clock: systemClock,
  log: silentLog,
  metrics: kubeMetrics(),
  // Long enough that a machine that stands still for seconds makes nobody lose it, and that who has lost it knows first.
  leaseSeconds: 16,
  renewSeconds: 8,
  retrySeconds: 0.5,
})
election.start()
process.once('SIGTERM', () => void election.stop().then(() => process.exit(0)))
