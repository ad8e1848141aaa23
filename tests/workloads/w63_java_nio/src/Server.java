import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * A Netty HTTP server whose routes wait for a timer, compute, or block the loop. Prints its port; when its input ends, how
 * many requests it answered on each route.
 */
public class Server extends SimpleChannelInboundHandler<FullHttpRequest> {
    static final Map<String, Integer> answered = new TreeMap<>();

    @Override
    protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
        switch (request.uri()) {
            case "/timer": answerTimer(context, request.uri(), 20); break;
            case "/slow": answerTimer(context, request.uri(), 60); break;
            case "/compute": answerCompute(context, request.uri()); break;
            case "/block": answerBlock(context, request.uri()); break;
            default: answer(context, request.uri());
        }
    }

    static void answerTimer(ChannelHandlerContext context, String route, long ms) {
        context.executor().schedule(() -> answer(context, route), ms, TimeUnit.MILLISECONDS);
    }

    static void answerCompute(ChannelHandlerContext context, String route) {
        Common.busy(20);
        answer(context, route);
    }

    static void answerBlock(ChannelHandlerContext context, String route) {
        Common.pause(30);
        answer(context, route);
    }

    static void answer(ChannelHandlerContext context, String route) {
        synchronized (answered) {
            answered.merge(route, 1, Integer::sum);
        }
        var content = Unpooled.wrappedBuffer(new byte[40]);
        var answer = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, content);
        answer.headers().set("Content-Length", 40);
        context.writeAndFlush(answer);
    }

    public static void main(String[] arguments) throws Exception {
        var group = new NioEventLoopGroup(1);
        var bootstrap = new ServerBootstrap().group(group).channel(NioServerSocketChannel.class);
        bootstrap.childHandler(new ChannelInitializer<SocketChannel>() {
            @Override
            protected void initChannel(SocketChannel channel) {
                channel.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(65536), new Server());
            }
        });
        var address = (InetSocketAddress) bootstrap.bind("127.0.0.1", 0).sync().channel().localAddress();
        System.out.println(address.getPort());
        // The client says when its first requests have made the code.
        System.in.read();
        Common.nameCode();
        System.out.println("named");
        while (System.in.read() >= 0) { }
        var counts = new StringBuilder();
        synchronized (answered) {
            answered.forEach((route, count) -> counts.append(route).append(' ').append(count).append(' '));
        }
        System.out.println(counts.toString().trim());
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
