-- Health of SipTrunk and VoiceService for Argo CD, from the conditions of kstatus format that the operator writes.
-- A peer that does not answer is no reason to fail a deployment: that shows in Reachable and Registered only.
local health = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the operator to see this generation"
  return health
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
  if condition.type == "Ready" then
    if condition.status == "True" then
      health.status = "Healthy"
    end
    health.message = condition.message
  end
end
return health
