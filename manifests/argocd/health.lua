-- Health of a ModelRollout for Argo CD.
local status = obj.status or {}

-- Until the operator has seen this very generation, the conditions speak of an older one.
if status.observedGeneration == nil or status.observedGeneration < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "waiting for the operator to see the change"}
end

local is = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.observedGeneration == nil or condition.observedGeneration >= (obj.metadata.generation or 0) then
    is[condition.type] = condition.status == "True"
  end
end

local health = "Progressing"
if is.Stalled then
  health = "Degraded"
elseif status.phase == "Paused" then
  health = "Suspended"
elseif is.Ready and not is.Reconciling then
  health = "Healthy"
end
return {status = health, message = status.message or ""}
