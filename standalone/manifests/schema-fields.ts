import { z } from 'zod'

/** The schema inside wrappers such as a default or "optional". */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrap(schema.def.innerType)
  }
  return schema instanceof z.ZodNullable ? unwrap(schema.def.innerType) : schema
}

/** Names of the fields that an object at a path may have; empty where the schema has no such object. */
export function fieldsAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let at = unwrap(schema)
  for (const part of path) {
    if (at instanceof z.ZodArray) at = unwrap(at.def.element)
    else if (at instanceof z.ZodObject && at.shape[part as string] !== undefined) at = unwrap(at.shape[part as string])
    else return []
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

/** Paths below `spec` where a field of that name is known, as `spec.keepalive.timeoutSeconds`; `[]` stands for any item. */
export function placesOf(field: string, schema: z.core.$ZodType, path = ''): string[] {
  const at = unwrap(schema)
  if (at instanceof z.ZodArray) return placesOf(field, at.def.element, `${path}[]`)
  if (!(at instanceof z.ZodObject)) return []
  return Object.entries<z.core.$ZodType>(at.shape).flatMap(([name, inner]) => {
    const below = path === '' ? name : `${path}.${name}`
    return [...(name === field ? [below] : []), ...placesOf(field, inner, below)]
  })
}
