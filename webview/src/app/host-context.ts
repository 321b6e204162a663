import { createContext, useContext } from 'react';
import type { InspectorHost } from './host.ts';

export const HostContext = createContext<InspectorHost | undefined>(undefined);

/** Where the inspector runs. For data, `useQuery`. */
export function useHost(): InspectorHost {
  const host = useContext(HostContext);
  if (!host) throw new TypeError('useHost outside of the inspector');
  return host;
}
