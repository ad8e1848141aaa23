# Netty's parts; its one jar for all has nothing in it in Debian.
netty=
for part in buffer codec codec-http common handler resolver transport; do netty=$netty:/usr/share/java/netty-$part.jar; done
